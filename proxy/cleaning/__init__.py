"""What comes back is made safe to read: certain things only, in linear time; what is clean keeps its bytes."""
