"""Where the heavy work runs: an interface, the backends behind it, and the driver that uses them."""
