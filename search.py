"""Search for an architecture: python search.py method=gdas space=nas_bench_201 dataset=digits (see --help)."""

from nas.cli.search import main

if __name__ == "__main__":
    main()
