"""What the cell's charge curve says, and what was imaged against it."""
