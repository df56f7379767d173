"""What all figures share: one look for each meaning, panels, pictures, widgets. A figure of one item stands in its module."""
