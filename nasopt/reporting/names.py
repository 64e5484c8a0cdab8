"""The words for a search space's parameters (fields of layers, their places) and for images."""

FIELDS = {
    "layer": "type",
    "edge": "operation",
    "kernel_size": "kernel size",
    "op": "operation",
    "depth": "number of layers",
    "recipe": "training",
    "lr": "learning rate",
}
LAYERS = {"conv": "layer", "pool": "pooling layer", "dense": "fully connected layer"}
OWN_IMAGES = {"image_folder": "a folder of pictures", "tensors": "images of one's own"}
WHOLE = {
    "conv": "the number of layers",
    "dense": "the number of fully connected layers",
    "recipe": "how the networks are trained",
}


def layer_noun(kind: str) -> str:
    """Return "pooling layer" for "pool"; a block of the user's own goes by its name."""
    return LAYERS.get(kind, f"{kind} layer")


def field_name(field: str) -> str:
    """Return "kernel size" for "kernel_size"."""
    return FIELDS.get(field, field.replace("_", " "))


def kind_name(kind: str) -> str:
    """Return "filters" for "conv.filters": the kind of layer is named if it is not Conv."""
    layer, _, field = kind.rpartition(".")
    name = field_name(field)
    return name if layer in ("", "conv") else f"{FIELDS.get(layer, layer)}: {name}"


def place_name(place: str) -> str:
    """Return "3" for "conv03"; a parameter of the whole network is of "all" its layers."""
    digits = place.removeprefix("conv").removeprefix("layer").removeprefix("edge").lstrip("_ ")
    if not digits:
        return "all"
    return str(int(digits)) if digits.isdecimal() else FIELDS.get(place, place)


def place_in_prose(place: str) -> str:
    """Return "layer 3" for "conv03", and what a parameter of the whole network is about."""
    name = place.rstrip("0123456789")
    if name == place:
        return WHOLE.get(place, place)
    kind = name.rstrip("_ ")
    return f"{LAYERS.get(kind, kind)} {int(place.removeprefix(name))}"


def data_name(fingerprint: str) -> str:
    """Return what tells images from all others: a fingerprint, of those of one's own in words."""
    name, *details = fingerprint.split()
    known = dict(each.split("=", 1) for each in details if "=" in each)
    digests = [each for each in details if "=" not in each]
    if name not in OWN_IMAGES or not digests:
        return fingerprint
    limit = known.get("limit", "None")
    which = "all of them" if limit == "None" else f"{limit} of them"
    split = f"split by seed {known.get('split', '0')}"
    return f"{OWN_IMAGES[name]}, {which}, {split}; the digest of their content is {digests[0]}"
