"""The things that can be searched: layers with open fields, architectures, sizes and costs."""
