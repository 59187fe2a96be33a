"""Where the sample's image lay in each frame, found from the frames."""
