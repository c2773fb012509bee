"""Finding to proof: each remedy is applied where it harms nobody, measured, and kept or withdrawn."""
