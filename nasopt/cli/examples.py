"""The examples at the end of each verb's help."""

EXAMPLES = {
    "quickstart": ["nasopt quickstart"],
    "init": ["nasopt init photos", "nasopt init photos -o studies/photos.py --size 64"],
    "describe": ["nasopt describe studies/cifar10.py"],
    "noise": [
        "nasopt noise studies/fashion_mnist.py",
        "nasopt noise studies/digits.py --architectures 12 --seeds 4",
    ],
    "run": [
        "nasopt run studies/digits.py",
        "nasopt run studies/cifar10.py --sampler random --trials 200 --device cuda",
        "nasopt run studies/digits.py --storage postgresql://user@host/nas",
        "nasopt run studies/fashion_mnist.py --workers 2",
        "nasopt run studies/fashion_mnist.py --time 90m",
        "nasopt run studies/fashion_mnist.py --time 2h --finals",
        "nasopt run studies/fashion_mnist.py --trials 5 --profile",
        "nasopt run fashion_long.py --warm-start runs/fashion_short.db",
    ],
    "compare": [
        "nasopt compare studies/digits.py --samplers random,tpe --seeds 8 --trials 40",
        "nasopt compare studies/fashion_mnist.py --samplers random,surrogate --workers 2",
        "nasopt compare studies/digits.py --epochs-budget 800 --csv digits.csv",
        "nasopt compare --studies 'digits/*' --storage runs/digits.db",
        "nasopt compare --benchmark nasbench201:cifar100 --samplers all --seeds 30 --trials 200",
    ],
    "finals": [
        "nasopt finals studies/digits.py",
        "nasopt finals studies/fashion_mnist.py --time 2h",
        "nasopt finals runs/digits.db --top 3 --seeds 5 --epochs 60",
    ],
    "predict": [
        "nasopt predict photos-model holiday.jpg",
        "nasopt predict photos-model new/*.jpg --top 1 --csv",
        "nasopt predict photos-model labelled/",
        "find . -name '*.png' | nasopt predict photos-model - --json",
    ],
    "reproduce": [
        "nasopt reproduce photos-model",
        "nasopt reproduce photos-model --data /mnt/photos --device cpu",
    ],
    "show": [
        "nasopt show runs/digits.db",
        "nasopt show runs/digits.db --study digits/random/0 --trial 12",
        "nasopt show runs/digits.db --study digits/surrogate/0 --why 12",
        "nasopt show runs/digits.db --studies",
        "nasopt show runs/digits.db --metric macro_f1",
        "nasopt show runs/digits.db --study digits/surrogate/0 --csv trials.csv",
    ],
    "report": [
        "nasopt report runs/digits.db",
        "nasopt report runs/digits.db --study digits/tpe/0 -o tpe.html",
    ],
    "dashboard": [
        "nasopt dashboard runs/digits.db",
        "nasopt dashboard runs/digits.db --read-only --port 0 --no-browser",
    ],
    "log": [
        "nasopt log runs/digits.db --to tensorboard",
        "nasopt log runs/digits.db --to mlflow --uri sqlite:///mlflow.db",
    ],
    "checks": ["nasopt checks", "nasopt checks --json"],
}
