"""The experiments of [jetley2018], "With friends like these, who needs adversaries?".

Departures, for all items: images are pixels in [0, 1], and what is projected is their difference from the mean of the
training images, which is what the paper's networks, fed with mean-subtracted images, see.
"""
