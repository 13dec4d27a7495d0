"""Search for an architecture: python search.py method=gdas space=nas_bench_201 dataset=digits (see --help)."""

from nas.cli.search import main

# fish completes only scripts that contain the text "@hydra.main"
if __name__ == "__main__":
    main()
