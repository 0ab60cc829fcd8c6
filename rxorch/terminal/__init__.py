"""Text for terminals: colours, columns, and progress that redraws itself."""
