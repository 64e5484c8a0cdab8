import pytest
import torch

import nasopt
from nasopt import Conv, Dense, Experiment, Pool, Recipe, Space, categorical, macs, repeat
from nasopt.analysis.selection import read_study
from nasopt.data import digits
from nasopt.models import references as module
from nasopt.models.references import FAMILIES, nearness
from nasopt.storage.opening import open_storage
from tests.examples import small

VGG, RESNET, MOBILENET = FAMILIES


def rich(**fields):
    """A space that has each family whole: kinds, sizes and widths are all open."""
    conv = Conv(
        filters=categorical(4, 8, 16),
        kernel_size=categorical(1, 3, 5),
        stride=categorical(1, 2),
        op=categorical("conv", "residual", "separable"),
    )
    space = Space(repeat(conv, 1, 4), repeat(Dense(width=categorical(8, 16)), 0, 1))
    return Experiment(dataset=digits(limit=200), space=space, recipe=Recipe(epochs=1), **fields)


def member(experiment, family):
    return module.member(experiment.space, experiment.problem, family)


def references(experiment, studies):
    return module.references(experiment, studies, experiment.problem)


def layers(architecture):
    return [
        (each.op, each.filters, each.kernel_size, each.stride)
        for each in architecture.layers
        if isinstance(each, Conv)
    ]


def test_vgg_is_plain_3x3_convolutions_that_widen_as_the_map_is_halved_and_a_dense_layer():
    found = member(rich(), VGG)
    assert layers(found) == [
        ("conv", 8, 3, 1), ("conv", 8, 3, 1), ("conv", 16, 3, 2), ("conv", 16, 3, 1),
    ]  # fmt: skip
    assert [each.width for each in found.dense] == [16]


def test_resnet_is_a_plain_convolution_and_residual_ones():
    found = member(rich(), RESNET)
    assert [op for op, *_ in layers(found)] == ["conv", "residual", "residual", "residual"]
    assert found.dense == ()
    assert nearness(RESNET, found) == (
        "3 of 3 convolutions after the first are residual, 4 of 4 are 3x3"
    )


def test_mobilenet_is_a_plain_convolution_and_separable_ones():
    assert [op for op, *_ in layers(member(rich(), MOBILENET))][1:] == ["separable"] * 3


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("bound", [3_000, 20_000, 100_000])
def test_a_member_is_within_the_limits_and_uses_most_of_them(family, bound):
    experiment = rich(limits=(macs <= bound,))
    found = member(experiment, family)
    cost = experiment.cost(found).macs
    assert cost <= bound
    whole = rich().cost(member(rich(), family)).macs
    assert cost >= min(whole, bound / 8)


def test_no_member_within_the_limits_is_said():
    experiment = rich(limits=(macs <= 100,))
    assert member(experiment, VGG) is None
    _, missing = references(experiment, [])
    assert "No VGG-like network was found within the limits." in missing


def test_where_only_1x1_kernels_fit_the_nearest_member_has_them_and_says_so():
    conv = Conv(filters=categorical(8, 16), kernel_size=categorical(1, 3))
    space = Space(repeat(conv, 2, 3))
    fields = {"dataset": digits(limit=200), "space": space, "recipe": Recipe(epochs=1)}
    least = Experiment(**fields).cost(space.decode({"conv.depth": 2, **{
        f"conv{n:02}.{name}": value
        for n in (1, 2, 3) for name, value in (("filters", 8), ("kernel_size", 1))
    }})).macs  # fmt: skip
    experiment = Experiment(**fields, limits=(macs <= least,))
    found, _ = references(experiment, [])
    (vgg,) = [each for each in found if "VGG-like" in each.name]
    assert "2 of 2 convolutions are plain, 0 of 2 are 3x3" in vgg.how
    assert experiment.cost(vgg.architecture).macs <= least


def test_fixed_fields_and_pools_are_taken_as_they_are():
    space = Space(Conv(filters=4, kernel_size=5), Pool(), Conv(filters=categorical(2, 8)))
    found = member(Experiment(dataset=digits(), space=space), VGG)
    assert layers(found) == [("conv", 4, 5, 1), ("conv", 8, 3, 1)]
    assert nearness(VGG, found) == "2 of 2 convolutions are plain, 1 of 2 are 3x3"


def test_a_space_without_residuals_says_how_near_it_comes_and_names_no_resnet():
    found, _ = references(small(), [])
    (vgg,) = [each for each in found if "VGG-like" in each.name]
    assert "ResNet-like" not in vgg.name
    assert vgg.how.endswith(
        "; also the nearest to ResNet-like and MobileNet-like, though none of its convolutions is "
        "residual or separable"
    )


def test_references_are_different_networks():
    found, missing = references(rich(), [])
    assert missing == []
    assert len({each.architecture.key for each in found}) == len(found)
    names = " = ".join(each.name for each in found)
    for name in ("VGG-like", "ResNet-like", "MobileNet-like", "largest", "median random"):
        assert name in names


def test_the_largest_has_the_most_macs_of_all():
    experiment = small()
    found, _ = references(experiment, [])
    (largest,) = [each for each in found if "largest" in each.name]
    drawn = experiment.sample(100, seed=1)
    most = max(experiment.cost(each.architecture).macs for each in drawn)
    assert experiment.cost(largest.architecture).macs >= most


def test_the_median_random_network_is_the_middle_of_what_random_sampling_trained(tmp_path):
    experiment = small(trials=7, name="here")
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    record = read_study(open_storage(tmp_path / "x.db", "read"), study.study_name)
    values = sorted((t.values[0], t.number) for t in record.complete)
    assert len(values) >= 5
    _, number = values[len(values) // 2]
    found, _ = references(experiment, [record])
    (median,) = [each for each in found if "median random" in each.name]
    assert f"trial {number} of here/random/0" in median.how
    assert median.architecture == experiment.space.decode(record.trials[number].params)


def test_without_a_random_study_networks_are_drawn_the_same_each_time():
    first, second = (references(small(), [])[0] for _ in range(2))
    assert first == second
    (median,) = [each for each in first if "median random" in each.name]
    assert "random networks by MACs" in median.how


class Optional(nasopt.Layer):
    filters: int
    width: str = "few"

    def build(self, in_shape):
        return torch.nn.Conv2d(in_shape[0], max(1, self.filters), 1)


class Worded(nasopt.Layer):
    filters: str

    def build(self, in_shape):
        return torch.nn.Conv2d(in_shape[0], 2 if self.filters == "few" else 4, 1)


@pytest.mark.parametrize(
    "block",
    [
        Optional(filters=categorical(0, 4), width=categorical("few", "many")),
        Worded(filters=categorical("few", "many")),
        Worded(filters="few"),
    ],
)
def test_blocks_whose_filters_may_be_none_or_words_have_references(block):
    convolutions, dense = rich().space.layers
    space = Space(convolutions, block, dense)
    experiment = Experiment(dataset=digits(limit=200), space=space, recipe=Recipe(epochs=1))
    for family in FAMILIES:
        assert member(experiment, family) is not None
