"""The recipe's one entry point: ``python -m stack.offline.recipe STEP …``."""

import argparse
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Run one step of the recipe; each imports only what it needs."""
    parser = argparse.ArgumentParser(prog="python -m stack.offline.recipe", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)

    step = steps.add_parser("synthesise", help="speak the training corpus with espeak-ng")
    step.add_argument("corpus", type=Path)
    step.add_argument("--sentences", type=int, default=28_800)
    step.add_argument("--processes", type=int, default=2)

    step = steps.add_parser("train", help="train the network on the corpus")
    step.add_argument("corpus", type=Path)
    step.add_argument("checkpoint", type=Path)
    step.add_argument("--initial", type=Path, help="weights to go on from")
    step.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    step.add_argument("--curriculum", choices=("scratch", "continue", "finish"), default="scratch")
    step.add_argument("--minutes", type=float, default=90)
    step.add_argument("--learning-rate", type=float, default=2e-3)
    step.add_argument("--seed", type=int, default=0)

    step = steps.add_parser("convert", help="turn a checkpoint into the CTranslate2 model")
    step.add_argument("checkpoint", type=Path)
    step.add_argument("model", type=Path)
    step.add_argument("--quantization", default="int8")

    step = steps.add_parser("evaluate", help="measure a model against what is asked of it")
    step.add_argument("model", type=Path)
    step.add_argument("report", type=Path)
    step.add_argument("--draw", default="", help="a name for another draw of the material")
    step.add_argument("--quick", action="store_true", help="a quarter of everything")

    chosen = parser.parse_args(arguments)
    if chosen.step == "synthesise":
        from stack.offline.recipe.corpus import synthesise  # noqa: PLC0415

        synthesise(chosen.corpus, chosen.sentences, chosen.processes)
    elif chosen.step == "train":
        from stack.offline.recipe.train import Settings, train  # noqa: PLC0415

        train(
            Settings(
                corpus=chosen.corpus,
                checkpoint=chosen.checkpoint,
                initial=chosen.initial,
                resume=chosen.resume,
                curriculum=chosen.curriculum,
                minutes=chosen.minutes,
                learning_rate=chosen.learning_rate,
                seed=chosen.seed,
            )
        )
    elif chosen.step == "convert":
        from stack.offline.recipe.convert import convert  # noqa: PLC0415

        convert(chosen.checkpoint, chosen.model, chosen.quantization)
    else:
        from stack.offline.recipe.evaluate import evaluate  # noqa: PLC0415

        evaluate(chosen.model, chosen.report, quick=chosen.quick, draw=chosen.draw)


if __name__ == "__main__":
    main()
