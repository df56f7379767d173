"""Images with their hash, and the sets they come from."""

from uapkit.data.images import Images, as_tensor, rotation_angles

__all__ = ["Images", "as_tensor", "rotation_angles"]
