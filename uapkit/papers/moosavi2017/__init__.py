"""The experiments of [moosavi2017], "Universal adversarial perturbations".

Departures, for all items: images are pixels in [0, 1] (a norm of 10 on the 0-255 scale is 10/255); no image that a
perturbation is fitted on is scored. Nulls, for all items with rates: random signs (norm inf) or a random direction
(norm 2) of the same norm. Figures and pages add noise with a vector's spectrum and the strongest pattern that needs no
network, from the stored runs that have them (``stronger``).
"""
