"""Search spaces: which networks exist, and how their genotypes are written."""
