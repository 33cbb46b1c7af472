"""The vision core: pure Python, no Django, no database, no clock.

Images are ``(rows, columns, 3)`` uint8 arrays in RGB order unless a name says otherwise.
Points and boxes are in pixels of the frame that was sent, x to the right and y downwards.
"""
