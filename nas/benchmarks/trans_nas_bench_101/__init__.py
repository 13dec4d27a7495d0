"""TransNAS-Bench-101 (Duan et al., CVPR 2021): seven vision tasks on 4,096 cells and 3,256 skeletons."""
