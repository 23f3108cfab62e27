"""One model, two front ends and a shorthand."""
