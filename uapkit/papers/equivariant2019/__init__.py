"""The experiments of [equivariant2019], "Universal attacks on equivariant networks".

Departures, for all items: images are pixels in [0, 1], turned bilinearly with zeros from outside, each once by its own
fixed angle; the networks normalise inside. Norms of attacks are also given relative to the images' mean norm. The loss
gradient is taken with true labels unless ``labels`` says otherwise; DeepFool's failures have no row.
"""
