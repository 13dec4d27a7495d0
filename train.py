"""Train the network of a genotype from scratch; evaluate or export a trained one: python train.py genotype=..."""

from nas.cli.train import main

# fish completes only scripts that contain the text "@hydra.main"
if __name__ == "__main__":
    main()
