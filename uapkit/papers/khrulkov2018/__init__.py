"""The experiments of [khrulkov2018], "Art of singular vectors and universal adversarial perturbations".

Departures, for all items: images are pixels in [0, 1] (a norm of 10 on the 0-255 scale is 10/255); the images that a
vector is fitted on are never scored; what is chosen (a layer, a sign, q) is chosen on held-in images. Nulls, for all
items with rates: random signs of the same norm, and the same attack made on a copy with fresh weights. Figures and pages
add the strongest pattern that needs no network, from ``ext_patterns``, where networks and images are the same.
"""
