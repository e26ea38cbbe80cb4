"""From trained nets to keypoints: chains of nets, their combination, faces in photographs, and what happens inside a net."""
