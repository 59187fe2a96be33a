"""What people read: figures, pages, and findings in words."""
