"""What must hold of data and models, and which model is in production."""
