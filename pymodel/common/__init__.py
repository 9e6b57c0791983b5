"""What every part needs: errors, bounds of numbers, reading and writing files, identifiers, memory."""
