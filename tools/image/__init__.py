"""Builds the image of the Containerfile for real, without an image registry, and tries it.

    base        a file system of Debian with Python, by debootstrap
    buildah     the calls of buildah: an own store, no daemon, no overlay file system
    trial       the demo and a scheduler in a container of the image, as the image's own user

It needs root on Debian. What it makes is below `build/image` of the checkout.
"""
