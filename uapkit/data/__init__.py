"""Images with their hash, and the sets they come from.

| name | images | splits | where from |
| --- | --- | --- | --- |
| ``digits`` | 1 x 28 x 28, 10 classes | train 1297, test 500 | embedded: scikit-learn's, turned by up to 30° |
| ``mnist``, ``fashion-mnist`` | 1 x 28 x 28, 10 classes | train 60000, test 10000 | idx, plain or .gz; downloads |
| ``cifar10``, ``cifar100`` | 3 x 32 x 32 | train 50000, test 10000 | python batches; downloads |
| ``imagenet-sample`` | 3 x 224 x 224, 1000 classes | test 1000 | folders of WordNet ids, or flat |
| ``imagenet`` | 3 x 224 x 224, 1000 classes | train, test (the validation set) | your copy |
| ``caltech101`` | 3 x 224 x 224, 102 categories | test 9144 or the part that is there | free photographs; downloads |
| ``pictures`` | 3 x 224 x 224, no labels | test 6 | embedded: free photographs |
| a path | 3 x h x w | subfolders train, val or test, if any | one folder a class, or flat |

Looked for in ``root``, ``$UAPKIT_DATA``, the user's cache; then downloaded where the set allows it. The standard files
are verified by their published checksums each time they are read. CIFAR's batches are pickles: they are read by an
unpickler that admits arrays, numbers and strings and refuses everything else.
"""

from uapkit.data.embedded import pictures
from uapkit.data.images import Images, as_tensor, rotation_angles
from uapkit.data.sets import load, status, stream
from uapkit.data.sets import names as list  # the public name is data.list(), as in models.list()

__all__ = [
    "Images",
    "as_tensor",
    "list",
    "load",
    "pictures",
    "resized",
    "rotated",
    "rotation_angles",
    "status",
    "stream",
]

rotated = Images.rotated
resized = Images.resized
