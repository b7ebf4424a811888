"""What a network can be made of: each file says all that there is to say of one model."""
