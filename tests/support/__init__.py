"""What several test files share: servers on loopback."""
