"""What `manage.py evaluate` and the desk measure: one module for each question, and the reports."""
