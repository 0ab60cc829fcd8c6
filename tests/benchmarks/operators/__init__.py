"""What each operator costs, beside the nearest stock operator and the libraries made for the same job."""
