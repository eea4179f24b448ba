"""Config files: *what* is done. Environment variables: *where*."""
