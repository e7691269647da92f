"""`python -m dwc convert`: the authors' weights and a CLIP -> a checkpoint."""

import argparse
import sys

HELP = "turn the authors' weights and a CLIP into a checkpoint"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--global-weights", metavar="PTH", help="the authors' CLIP stream; with --clip"
    )
    parser.add_argument(
        "--local-weights", metavar="PTH", help="the authors' CNN stream; with --captions"
    )
    parser.add_argument(
        "--clip",
        metavar="CLIP",
        help="a CLIP state dict with OpenAI's key names (.pt, .safetensors), a transformers CLIP "
        "folder, or a Hub name (owner/name@revision)",
    )
    parser.add_argument(
        "--captions",
        metavar="JSON",
        help="the training captions in order (a list), or a word-to-id table (an object)",
    )
    parser.add_argument(
        "--clip-tokenizer",
        metavar="PATH",
        help="CLIP's tokenizer: OpenAI's bpe_simple_vocab_16e6.txt.gz (or as plain .txt), or a "
        "transformers tokenizer's folder. By default CLIP's own folder or repository is looked "
        "into, then what lies beside its weights, then openai/clip-vit-base-patch32 on the Hub; "
        "without any, the checkpoint is written all the same, but reads token ids only",
    )
    parser.add_argument(
        "--template",
        choices=("fashion_iq", "plain"),
        default="fashion_iq",
        help="the form in which training saw its captions (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="the checkpoint's folder")


def run(args: argparse.Namespace) -> int:
    """Convert, and say where the checkpoint is."""
    from dwc.checkpoint import fingerprint
    from dwc.convert import CAPTION_TEMPLATES, convert

    folder = convert(
        args.out,
        global_weights=args.global_weights,
        local_weights=args.local_weights,
        clip=args.clip,
        captions=args.captions,
        clip_tokenizer=args.clip_tokenizer,
        template=CAPTION_TEMPLATES[args.template],
    )
    sys.stdout.write(f"wrote {folder} (fingerprint {fingerprint(folder)})\n")
    return 0
