"""Images with labels: readers of CIFAR-10, Tiny ImageNet and the digits of scikit-learn."""
