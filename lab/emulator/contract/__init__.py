"""Holds each request to the emulator against AWS's newest published service models."""
