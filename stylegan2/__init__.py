"""StyleGAN2 and MobileStyleGAN in plain PyTorch, behind one interface (`Generator`)."""

from stylegan2.generator import Generator, StyleGAN2Config, StyleGAN2Generator
from stylegan2.windows import Windows

__all__ = ["Generator", "StyleGAN2Config", "StyleGAN2Generator", "Windows"]
