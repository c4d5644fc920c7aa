"""The bundled sample: imagined artists, synthesised clips, simulated listeners.

A small corpus whose right answer is known, so that a pipeline that is broken cannot score.

Planted: every artist has one hidden style (`style`), three numbers in [-1, 1]. Listeners choose
artists near their own taste in that space (`listeners`), and clips sound like it (`sound`), each
number through two traits. So the similarity of two artists, from listens, and the likeness of
their clips have one common cause.

Nuisance, independent of style: an artist's popularity, and for every clip its recording level,
equalisation, noise floor, drone, key, melody, rhythm phase and codec. They move the spectrum of a
clip more than style does, so that a plain distance between spectra is misled; but all except
melody and rhythm phase stay the same for the length of a clip, and what changes in time can be
learned.
"""
