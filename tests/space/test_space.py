import json

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import RandomSampler

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.fields import categorical, integer
from nasopt.space.layers import Conv, Dense, Pool
from nasopt.space.space import Space, repeat
from tests.space.test_layers import OPEN_CONVS, OPEN_DENSES, OPEN_POOLS

LECTURE = Conv(
    filters=categorical(24, 36, 48, 64),
    kernel_size=categorical(3, 5, 7),
    stride=categorical(1, 2),
)


def maybe_repeated(layers, least=0):
    """One of `layers`, or a repeat of it of a fixed or an open depth of at least `least`."""
    depths = st.tuples(st.integers(least, 2), st.integers(1, 3)).map(sorted)
    return st.one_of(layers, st.builds(lambda layer, ends: repeat(layer, *ends), layers, depths))


SPACES = st.builds(
    lambda before, conv, after, dense, least, resolution: Space(
        *before, conv, *after, *dense, min_resolution=least
    ).on((3, *resolution)),
    st.lists(maybe_repeated(OPEN_POOLS), max_size=1),
    maybe_repeated(OPEN_CONVS, least=1),
    st.lists(maybe_repeated(st.one_of(OPEN_CONVS, OPEN_POOLS)), max_size=2),
    st.lists(maybe_repeated(OPEN_DENSES), max_size=1),
    st.integers(1, 3),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)


@st.composite
def spaces_and_params(draw):
    space = draw(SPACES)
    values = {
        name: st.sampled_from(field.candidates) for name, field in space.hyperparameters.items()
    }
    return space, draw(st.fixed_dictionaries(values))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: Space(), "layers=(): zero layers; begin with a Conv"),
        (lambda: Space(Dense(width=8)), "layers: no Conv among them; a network needs at least one"),
        (
            lambda: Space(Conv(filters=8), Dense(width=8), Conv(filters=8)),
            "layers: a Dense stands before a Conv; put the dense layers last",
        ),
        (
            lambda: Space(Conv(filters=8), repeat(Dense(width=8), 0, 1), repeat(Pool(), 0, 1)),
            "layers: a Dense stands before a Pool; put the dense layers last",
        ),
        (
            lambda: Space(repeat(Conv(filters=8), 0, 3)),
            "Space(): it may have zero layers with filters; ask for 1 Conv or more",
        ),
        (lambda: Space("conv"), "Space(): 'conv' is no layer; give Conv, Pool, Dense, repeat"),
        (
            lambda: Space(Conv(filters=8), min_resolution=0),
            "Space.min_resolution=0: use 1, 2, 3, ... pixels",
        ),
        (
            lambda: Space(Conv(filters=8), min_resolution=2.0),
            "Space.min_resolution=2.0: use 1, 2, 3, ... pixels",
        ),
        (
            lambda: repeat(Conv(filters=8), 5, 2),
            "repeat(): low=5 is above high=2; swap them",
        ),
        (
            lambda: repeat(Conv(filters=8), 0),
            "repeat(): zero layers; use 1 or more, or leave it out",
        ),
        (
            lambda: repeat(Conv(filters=8), 0, 0),
            "repeat(): zero layers; use 1 or more, or leave it out",
        ),
        (
            lambda: repeat(Conv(filters=8), -1, 2),
            "repeat(): -1 is no number of layers; use 0, 1, 2, ...",
        ),
        (
            lambda: repeat(Conv(filters=8), 1, 2.5),
            "repeat(): 2.5 is no number of layers; use 0, 1, 2, ...",
        ),
        (lambda: repeat(8, 2), "repeat(): layer=8 is no layer; give a Conv, Pool or Dense"),
    ],
)
def test_a_space_that_cannot_be_says_why(write, message):
    with pytest.raises(SpaceError) as raised:
        write()
    assert str(raised.value) == message


def test_the_size_of_the_lecture_s_space_is_exact():
    size = Space(repeat(LECTURE, 20)).size
    assert size == (4 * 3 * 2) ** 20 == 4_019_988_717_840_603_673_710_821_376


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (Space(Conv(filters=8)), 1),
        (Space(repeat(LECTURE, 1, 3)), 24 + 24**2 + 24**3),
        (Space(LECTURE, repeat(Dense(width=integer(10, 100, 10)), 0, 2)), 24 * (1 + 10 + 10**2)),
        (Space(repeat(LECTURE, 2), Pool(op=categorical("max", "average"))), 24**2 * 2),
        (Space(repeat(Conv(filters=8), 1, 4)), 4),
    ],
)
def test_the_size_multiplies_layers_and_sums_over_depths(space, size):
    assert space.size == size


def test_layers_are_numbered_by_kind_and_an_open_depth_bears_the_name_of_its_kind():
    space = Space(
        Conv(filters=categorical(8, 16)),
        Pool(op=categorical("max", "average")),
        repeat(Conv(filters=16, stride=categorical(1, 2)), 1, 2),
        repeat(Dense(width=integer(10, 100)), 0, 1),
    )
    assert list(space.hyperparameters) == [
        "conv01.filters",
        "pool01.op",
        "conv.depth",
        "conv02.stride",
        "conv03.stride",
        "dense.depth",
        "dense01.width",
    ]
    assert space.hyperparameters["conv.depth"] == integer(1, 2)
    assert space.hyperparameters["dense01.width"] == integer(10, 100)


def test_two_open_depths_of_a_kind_bear_the_names_of_their_first_layers():
    conv = Conv(filters=categorical(8, 16))
    space = Space(repeat(conv, 1, 2), Pool(), repeat(conv, 0, 1), conv)
    assert list(space.hyperparameters) == [
        "conv01.depth",
        "conv01.filters",
        "conv02.filters",
        "conv03.depth",
        "conv03.filters",
        "conv04.filters",
    ]


def test_the_numbers_of_layers_have_one_width_so_that_names_sort():
    names = list(Space(repeat(Conv(filters=categorical(8, 16)), 100)).hyperparameters)
    assert (names[0], names[-1]) == ("conv001.filters", "conv100.filters")
    assert names == sorted(names)


def test_decoding_drops_what_the_depth_leaves_unused():
    space = Space(repeat(Conv(filters=integer(1, 9)), 1, 3), repeat(Dense(width=5), 0, 2))
    params = {
        "conv.depth": 2,
        "conv01.filters": 7,
        "conv02.filters": 8,
        "conv03.filters": 9,
        "dense.depth": 0,
    }
    decoded = Architecture((Conv(filters=7), Conv(filters=8)))
    assert space.decode(params) == decoded
    assert space.decode({**params, "conv03.filters": 1}) == decoded
    del params["conv03.filters"]
    assert space.decode(params) == decoded


def test_a_missing_parameter_is_named():
    space = Space(repeat(Conv(filters=integer(1, 9)), 1, 3))
    with pytest.raises(SpaceError) as raised:
        space.decode({"conv.depth": 2, "conv01.filters": 7})
    assert str(raised.value) == "parameter conv02.filters: missing; give it a value"


def test_strides_act_only_where_the_map_stays_large_enough():
    space = Space(repeat(Conv(filters=4, stride=categorical(1, 2)), 3), min_resolution=4)
    params = {f"conv0{number}.stride": 2 for number in (1, 2, 3)}
    unlimited = space.decode(params)
    assert [layer.stride for layer in unlimited.layers] == [2, 2, 2]  # no images to decide by
    for side, strides in ((8, [2, 1, 1]), (16, [2, 2, 1]), (7, [2, 1, 1]), (4, [1, 1, 1])):
        decoded = space.on((1, side, side)).decode(params)
        assert [layer.stride for layer in decoded.layers] == strides


@given(spaces_and_params())
def test_every_choice_of_parameters_is_a_canonical_network(space_and_params):
    space, params = space_and_params
    network = space.decode(params)
    assert network.canonical(space.input_shape, space.min_resolution) == network
    assert min(network.resolution(space.input_shape)) >= 1


@given(SPACES, st.data())
def test_two_choices_of_parameters_share_a_key_exactly_if_they_are_one_network(space, data):
    values = {
        name: st.sampled_from(field.candidates) for name, field in space.hyperparameters.items()
    }
    one, other = (space.decode(data.draw(st.fixed_dictionaries(values))) for _ in range(2))
    assert (one.key == other.key) == (one.layers == other.layers)


@given(SPACES)
def test_a_trial_is_asked_for_every_parameter_whatever_the_depth(space):
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(3):
        trial = study.ask()
        architecture = space.suggest(trial)
        assert list(trial.params) == list(space.hyperparameters)
        assert space.decode(trial.params) == architecture


@given(SPACES)
def test_a_space_comes_back_from_json_as_it_was(space):
    back = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert back.on(space.input_shape) == space
    assert back.hyperparameters == space.hyperparameters


def test_the_same_space_on_other_images_is_another_value():
    space = Space(LECTURE)
    assert space.on((3, 8, 8)) == space.on([3, 8, 8]) != space.on((3, 9, 9))
    assert space.on((3, 8, 8)).layers == space.layers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([repeat(Conv(filters=8), 1, 10**9)], r"Space\(\): up to 1,000,000,000 layers; use 1,000"),
        ([Conv(filters=integer(1, 10**9))], r"Conv\.filters=integer\(1, 1000000000\): more than"),
        ([Conv(filters=8), Dense(width=integer(1, 10**30))], r"Dense\.width=integer\(1, 1"),
    ],
)
def test_a_space_beyond_what_can_be_spelled_out_is_refused_at_once(layers, message):
    with pytest.raises(SpaceError, match=message):
        Space(*layers)
