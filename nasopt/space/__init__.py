"""What can be searched: layers with open fields, architectures, their sizes and costs."""
