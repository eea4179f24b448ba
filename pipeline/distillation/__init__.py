"""Silver pairs: pairs of training questions that nobody labelled, for a teacher to score and a student to learn from.

The way is that of Augmented SBERT (Thakur, Reimers, Daxenberger and Gurevych, "Augmented SBERT: Data Augmentation
Method for Improving Bi-Encoders for Pairwise Sentence Scoring Tasks", NAACL 2021, arXiv 2010.08240).
"""
