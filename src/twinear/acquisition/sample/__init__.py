"""The bundled sample: imagined artists, synthesised clips, simulated listeners.

A small corpus whose right answer is known, so that a pipeline that is broken cannot score.

Planted: every artist has one hidden style (`style`), three numbers in [-1, 1]. Listeners choose
artists near their own taste in that space (`listeners`), and clips sound like it (`sound`), each
number through two traits. So the similarity of two artists, from listens, and the likeness of
their clips have one common cause.

Nuisance, independent of style: an artist's popularity, and for every clip its recording level, a
slow swell, equalisation, noise floor, key, melody, rhythm phase and codec. They move the spectrum
of a clip more than style does, so that a plain distance between spectra is misled; but level,
equaliser, noise and codec stay the same for the length of a clip, so that style, which is in how
sound changes from moment to moment, can be learned.
"""
