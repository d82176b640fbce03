"""What the house itself is measured with."""
