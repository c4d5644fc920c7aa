"""Stage 4: clips -> log-mel spectrograms, MFCC statistics, embeddings."""
