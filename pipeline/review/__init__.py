"""The page on which labels are reviewed and corrected: what it shows, its server, and its files in `page`."""
