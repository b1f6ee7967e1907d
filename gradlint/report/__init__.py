"""One file per output format, each a function Report → str."""
