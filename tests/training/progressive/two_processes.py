"""Trains a small PL as one of several processes: `two_processes.py WORK OUT`."""

import sys
from pathlib import Path

from dwc.training.loop import launched_processes
from dwc.training.progressive.train_progressive import publish_progressive
from tests.training.progressive.test_train_progressive import TINY

if __name__ == "__main__":
    numbers = publish_progressive(TINY, Path(sys.argv[1]), Path(sys.argv[2]))
    state = launched_processes()
    described = f"processes {state.num_processes}, number {state.process_index}"
    sys.stdout.write(f"{described}, published {bool(numbers)}\n")
    sys.stdout.flush()
