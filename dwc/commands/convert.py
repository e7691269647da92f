"""Command `dwc convert`: converts the paper authors' weights and a CLIP model to a checkpoint.

The option `--to-authors` converts a checkpoint to files for the authors' code instead.
"""

import argparse
import sys

from dwc.commands.console import expand_home, parse_count

HELP = "turn the authors' weights and a CLIP into a checkpoint, or a checkpoint into theirs"

_ONLY_TO_CHECKPOINT = ("global_weights", "local_weights", "clip", "captions", "clip_tokenizer",
                      "image_size", "license", "dataset", "clip_config",
                      "clip_activation")  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--global-weights",
        type=expand_home,
        metavar="PTH",
        help="the authors' CLIP stream; with --clip",
    )
    parser.add_argument(
        "--local-weights",
        type=expand_home,
        metavar="PTH",
        help="the authors' CNN stream; with --captions",
    )
    parser.add_argument(
        "--clip",
        type=expand_home,
        metavar="CLIP",
        help="a CLIP state dict with OpenAI's key names (.pt, .safetensors; open_clip's are the "
        "same), a transformers or open_clip folder, or a Hub name (owner/name@revision), such as "
        "openai/clip-vit-base-patch32 or timm/resnet50_clip.openai",
    )
    parser.add_argument(
        "--captions",
        type=expand_home,
        metavar="JSON",
        help="the training captions in order (a list), or a word-to-id table (an object)",
    )
    parser.add_argument(
        "--clip-tokenizer",
        type=expand_home,
        metavar="PATH",
        help="CLIP's tokenizer: OpenAI's bpe_simple_vocab_16e6.txt.gz (or as plain .txt), or a "
        "transformers tokenizer's folder. The default is CLIP's own folder or repository, then "
        "what lies beside its weights, then openai/clip-vit-base-patch32 on the Hub; without any, "
        "the checkpoint is written but reads token ids only",
    )
    parser.add_argument(
        "--clip-config",
        type=expand_home,
        metavar="JSON",
        help="open_clip's config of a CLIP with OpenAI's key names, or 'none' (default: "
        "open_clip_config.json beside the weights, if there is one)",
    )
    parser.add_argument(
        "--clip-activation",
        choices=("gelu", "quick_gelu"),
        help="CLIP's activation, which no tensor shows (default: what a config beside the weights "
        "states, else OpenAI's quick_gelu; most of LAION's and DataComp's have gelu)",
    )
    parser.add_argument(
        "--preprocessing",
        choices=("clip", "authors"),
        default="clip",
        help="prepare images as a config of CLIP states, or as the authors' code does (default: "
        "%(default)s, which is the authors' where no config states another)",
    )
    parser.add_argument(
        "--template",
        choices=("fashion_iq", "plain"),
        default="fashion_iq",
        help="the form in which training saw its captions (default: %(default)s)",
    )
    parser.add_argument(
        "--image-size",
        metavar="PX",
        type=parse_count,
        help="the side of the images in training (default: CLIP's, or 224 without CLIP)",
    )
    parser.add_argument("--license", metavar="NAME", help="for the model card: apache-2.0, mit, …")
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        action="append",
        help="for the model card: what the model was trained on; may be given again",
    )
    parser.add_argument(
        "--to-authors",
        type=expand_home,
        metavar="MODEL",
        help="the other way: write what the authors' code can load of this checkpoint (a folder, "
        "or a Hub name) as global.pth, local.pth, clip.pt and captions.json into --out",
    )
    parser.add_argument(
        "--out", type=expand_home, metavar="DIR", required=True, help="the folder to write"
    )


def run(args: argparse.Namespace) -> int:
    """Run the conversion and return the exit status.

    Prints the names of the converted tensors, the results of the checks, and the path of the
    checkpoint.
    """
    if args.to_authors is not None:
        return _to_authors(args)
    from dwc.checkpoints.load import fingerprint
    from dwc.checkpoints.model_card import CardFacts
    from dwc.convert import CAPTION_TEMPLATES, convert

    folder = convert(
        args.out,
        global_weights=args.global_weights,
        local_weights=args.local_weights,
        clip=args.clip,
        captions=args.captions,
        clip_tokenizer=args.clip_tokenizer,
        clip_config=args.clip_config,
        clip_activation=args.clip_activation,
        preprocessing=args.preprocessing,
        template=CAPTION_TEMPLATES[args.template],
        image_size_px=args.image_size,
        card=CardFacts(license=args.license, datasets=tuple(args.dataset or ())),
        log=_print_line,
    )
    _print_line(f"wrote {folder} (fingerprint {fingerprint(folder)})")
    return 0


def _to_authors(args: argparse.Namespace) -> int:
    """Convert a checkpoint to files for the authors' code, and return the exit status."""
    from dwc.checkpoints.load import load
    from dwc.convert import convert_to_authors
    from dwc.errors import CheckpointError

    conflicting = [
        f"--{name.replace('_', '-')}" for name in _ONLY_TO_CHECKPOINT if getattr(args, name)
    ]
    if conflicting:
        raise CheckpointError(
            f"--to-authors writes from a checkpoint alone, and {', '.join(conflicting)} belongs to "
            "the other way; leave one out"
        )
    convert_to_authors(args.out, load(args.to_authors, clip_tokenizer_optional=True), _print_line)
    return 0


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
