"""The bundled sample: imagined artists, synthesised clips, simulated listeners.

A small corpus whose right answer is known, so that a broken pipeline scores badly.

Planted: every artist has one hidden style (`style`), three numbers in [-1, 1]. Listeners choose
artists near their own taste in that space (`listeners`), and clips express it (`sound`), each
number through two traits. So the similarity of two artists in the listens, and that of their clips,
have one common cause.

Nuisance, independent of style: an artist's popularity, and for every clip its recording level, a
slow swell, equalisation, noise floor, key, melody, rhythm phase and codec. They change the spectrum
of a clip more than style does, so a plain distance between spectra fails; but level, equaliser,
noise and codec are constant in a clip, while style is in how sound changes in time, so it can be
learned.
"""
