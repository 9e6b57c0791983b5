"""What a Python program calls: from a model of its own to a bundle, and from a bundle to hardware."""
