"""Small networks for 8x8 digits: 3 to 6 layers and at most 3,000 parameters.

    nasopt run studies/digits.py --sampler tpe

With so few parameters there is something to find; without the limit most networks are good. A
network is trained in half a second, the study in half a minute. Of the variance .97 is architecture
(95 % interval .90 to .99; 8 networks x 3 seeds), among the better half .88 (.21 to .99).

Measured with 40 trials, 3 sampler seeds, on one core of an AMD EPYC (Zen 5), torch 2.14.1; +- is
the standard error over the sampler seeds. The winners, trained again with three fresh seeds, have
.950 +- .000 (random) and .954 +- .006 (TPE), a median network of random sampling .924 +- .016. The
best accuracy that a search sees, .967 and .971, is flattered by its luck.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, parameters, repeat
from nasopt.data import digits

conv = Conv(
    filters=categorical(4, 8, 16, 32),
    kernel_size=categorical(1, 3, 5),
    stride=categorical(1, 2),
)

experiment = Experiment(
    dataset=digits(),
    space=Space(repeat(conv, 3, 6)),
    limits=(parameters <= 3_000,),
    recipe=Recipe(epochs=20, batch_size=64, lr=0.1),
    trials=40,
)
